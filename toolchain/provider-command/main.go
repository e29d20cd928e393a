// Command pulumi-resource-command serves command:local:Command with the inputs and the behaviour documented for the
// published pulumi-command package. It exists for networks on which the published provider cannot be had.
// Assets are not collected: naming assetPaths or archivePaths is an error, never a silent no-op.
package main

import (
	"context"
	"fmt"
	"os"

	provider "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

const version = "1.2.1"

func main() {
	p, err := infer.NewProviderBuilder().
		WithResources(infer.Resource(&Command{})).
		WithModuleMap(map[tokens.ModuleName]tokens.ModuleName{"main": "local"}).
		Build()
	if err == nil {
		err = provider.RunProvider(context.Background(), "command", version, p)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
