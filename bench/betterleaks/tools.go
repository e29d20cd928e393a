//go:build tools

// Package tools pins betterleaks, which is measured beside gitleaks.
package tools

import _ "github.com/betterleaks/betterleaks"
