// Package shim hands out the constructor of the Terraform provider, which lives in an internal package:
// a module whose path is below the provider's own may import it.
package shim

import (
	"github.com/hashicorp/terraform-plugin-framework/provider"
	internal "github.com/hashicorp/terraform-provider-tls/internal/provider"
)

// New returns the provider as the bridge wants it.
func New() provider.Provider {
	return internal.New()
}
