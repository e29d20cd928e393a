//go:build tools

// Package tools pins the Python language host, so that go.sum holds the digest of all it is built from.
package tools

import (
	_ "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"
)
