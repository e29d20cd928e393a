// Command pulumi-resource-tls is the TLS Terraform provider served over Pulumi's bridge, with the type tokens
// of the published pulumi-tls package, so that its SDKs work unchanged.
package main

import (
	"context"

	"github.com/hashicorp/terraform-provider-tls/shim"
	pf "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
)

const version = "5.6.2"

func info() tfbridge.ProviderInfo {
	p := tfbridge.ProviderInfo{
		P:            pf.ShimProvider(shim.New()),
		Name:         "tls",
		Version:      version,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
	}
	p.MustComputeTokens(tokens.SingleModule("tls_", "index", tokens.MakeStandard("tls")))
	return p
}

func main() {
	pf.Main(context.Background(), "tls", info(), pf.ProviderMetadata{
		PackageSchema: []byte(`{"name":"tls","version":"5.6.2"}`),
	})
}
