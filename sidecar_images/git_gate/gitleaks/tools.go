//go:build tools

// Package tools pins gitleaks, which the image builds from this module.
package tools

import _ "github.com/zricethezav/gitleaks/v8"
