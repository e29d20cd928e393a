// Command pulumi-resource-docker is the Docker Terraform provider served over Pulumi's bridge, with the
// type tokens and field names of the published pulumi-docker package, so that its SDKs work unchanged.
package main

import (

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/terraform-providers/terraform-provider-docker/shim"
)

const version = "5.2.0"

func info() tfbridge.ProviderInfo {
	p := tfbridge.ProviderInfo{
		P:            shimv2.NewProvider(shim.New(version)),
		Name:         "docker",
		Version:      version,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
		Resources: map[string]*tfbridge.ResourceInfo{
			"docker_image":  {Tok: "docker:index/remoteImage:RemoteImage"},
			"docker_config": {Tok: "docker:index/serviceConfig:ServiceConfig"},
			"docker_container": {Fields: map[string]*tfbridge.SchemaInfo{
				"networks_advanced": {Name: "networksAdvanced"},
				"env":               {Name: "envs"},
			}},
		},
	}
	p.MustComputeTokens(tokens.SingleModule("docker_", "index", tokens.MakeStandard("docker")))
	p.SetAutonaming(255, "-")
	return p
}

func main() {
	tfbridge.Main("docker", version, info(), []byte(`{"name":"docker","version":"5.2.0"}`))
}
