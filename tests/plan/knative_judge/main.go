// Judges Knative services as Knative's webhook does when they are made: defaults filled in, then validated, by the config
// maps of an installation. On standard input {"config": {"features": {...}, ...}, "services": [...]}, on standard output
// what is wrong with each service, empty where it is accepted, and the service as it is stored then.
package main

import (
	"context"
	"encoding/json"
	"os"

	autoscaler "knative.dev/serving/pkg/autoscaler/config"

	"knative.dev/pkg/apis"
	"knative.dev/serving/pkg/apis/config"
	v1 "knative.dev/serving/pkg/apis/serving/v1"
)

type question struct {
	Config   map[string]map[string]string `json:"config"`
	Services []json.RawMessage            `json:"services"`
}

type answer struct {
	Wrong  string      `json:"wrong"`
	Stored *v1.Service `json:"stored"`
}

func installed(maps map[string]map[string]string) *config.Config {
	defaults, err := config.NewDefaultsConfigFromMap(maps["defaults"])
	check(err)
	features, err := config.NewFeaturesConfigFromMap(maps["features"])
	check(err)
	scaling, err := autoscaler.NewConfigFromMap(maps["autoscaler"])
	check(err)
	return &config.Config{Defaults: defaults, Features: features, Autoscaler: scaling}
}

func judge(ctx context.Context, text json.RawMessage) answer {
	service := &v1.Service{}
	if err := json.Unmarshal(text, service); err != nil {
		return answer{Wrong: err.Error()}
	}
	service.SetDefaults(ctx)
	// Warnings pass.
	if errs := service.Validate(ctx).Filter(apis.ErrorLevel); errs != nil {
		return answer{Wrong: errs.Error()}
	}
	return answer{Stored: service}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	var asked question
	check(json.NewDecoder(os.Stdin).Decode(&asked))
	ctx := apis.WithinCreate(config.ToContext(context.Background(), installed(asked.Config)))
	found := make([]answer, len(asked.Services))
	for i, text := range asked.Services {
		found[i] = judge(ctx, text)
	}
	check(json.NewEncoder(os.Stdout).Encode(found))
}
