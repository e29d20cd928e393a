// Package shim hands out the constructor of the Terraform provider, which lives in an internal package:
// a module whose path is below the provider's own may import it.
package shim

import (
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/terraform-providers/terraform-provider-docker/internal/provider"
)

// New returns the provider as the bridge wants it.
func New(version string) *schema.Provider {
	return provider.New(version)()
}
