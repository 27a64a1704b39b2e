// Reads configurations of the device plugin with NVIDIA's own package, as cmd/nvidia-device-plugin does when it starts:
// a JSON list of texts on standard input, a JSON list of what they come to on standard output.
package main

import (
	"encoding/json"
	"flag"
	"io"
	"os"

	spec "github.com/NVIDIA/k8s-device-plugin/api/config/v1"
	cli "github.com/urfave/cli/v2"
	"k8s.io/klog/v2"
)

type read struct {
	Error     string            `json:"error,omitempty"`
	Strategy  string            `json:"strategy"`
	Mig       string            `json:"mig"`
	OneAtMost bool              `json:"oneAtMost"`
	Lists     []string          `json:"lists"`
	Names     map[string]string `json:"names"`
	Replicas  map[string]int    `json:"replicas"`
}

func readOne(text string) read {
	file, err := os.CreateTemp("", "config")
	check(err)
	defer os.Remove(file.Name())
	_, err = file.WriteString(text)
	check(err)
	check(file.Close())
	flags := []cli.Flag{
		&cli.StringFlag{Name: "config-file"},
		&cli.StringFlag{Name: "mig-strategy", Value: spec.MigStrategyNone},
		&cli.StringFlag{Name: "mps-root", Value: "/run/nvidia/mps"},
		&cli.StringSliceFlag{Name: "device-list-strategy", Value: cli.NewStringSlice(spec.DeviceListStrategyEnvVar)},
	}
	set := flag.NewFlagSet("plugin", flag.ContinueOnError)
	for _, one := range flags {
		check(one.Apply(set))
	}
	check(set.Set("config-file", file.Name()))
	config, err := spec.NewConfig(cli.NewContext(nil, set, nil), flags)
	if err != nil {
		return read{Error: err.Error()}
	}
	spec.DisableResourceNamingInConfig(config)
	// From here on validateFlags of cmd/nvidia-device-plugin, a main that cannot be imported.
	lists := []string{}
	if config.Flags.Plugin != nil && config.Flags.Plugin.DeviceListStrategy != nil {
		lists = *config.Flags.Plugin.DeviceListStrategy
	}
	if _, err := spec.NewDeviceListStrategies(lists); err != nil {
		return read{Error: err.Error()}
	}
	mig := *config.Flags.MigStrategy
	if mig != spec.MigStrategyNone && mig != spec.MigStrategySingle && mig != spec.MigStrategyMixed {
		return read{Error: "unknown MIG strategy: " + mig}
	}
	strategy := config.Sharing.SharingStrategy()
	if strategy == spec.SharingStrategyMPS && mig == spec.MigStrategyMixed {
		return read{Error: "using --mig-strategy=mixed is not supported with MPS"}
	}
	replicated := config.Sharing.ReplicatedResources()
	found := read{
		Strategy:  string(strategy),
		Mig:       mig,
		OneAtMost: replicated.FailRequestsGreaterThanOne,
		Lists:     lists,
		Names:     map[string]string{},
		Replicas:  map[string]int{},
	}
	for _, resource := range replicated.Resources {
		name := string(resource.Name)
		found.Replicas[name] = resource.Replicas
		found.Names[name] = name
		if resource.Rename != "" {
			found.Names[name] = string(resource.Rename)
		}
	}
	return found
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	klog.SetOutput(io.Discard)
	klog.LogToStderr(false)
	var texts []string
	check(json.NewDecoder(os.Stdin).Decode(&texts))
	found := make([]read, len(texts))
	for i, text := range texts {
		found[i] = readOne(text)
	}
	check(json.NewEncoder(os.Stdout).Encode(found))
}
