// Package main serves Pulumi's own Kubernetes provider. Its module lacks the generated files that its main embeds.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
)

// Copied from the module when this is built.
//
//go:embed schema.json
var schema []byte

// Set when this is built.
var version string

func main() { provider.Serve("kubernetes", version, schema, []byte("{}")) }
