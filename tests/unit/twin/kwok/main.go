// Asks kwok's own packages what its stages do, as kustomize/stage/stage_test.go of kwok does for its own stages: the
// file of stages is named on the command line; a JSON list of nodes and pods on standard input, and for each of them
// on standard output the stages that match it, when they come and what they change.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/utils/gotpl"
	"sigs.k8s.io/kwok/pkg/utils/lifecycle"
)

type change struct {
	Kind        string          `json:"kind"`
	Type        string          `json:"type,omitempty"`
	Subresource string          `json:"subresource,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"`
}

type match struct {
	Stage string   `json:"stage"`
	Delay string   `json:"delay,omitempty"`
	Next  []change `json:"next"`
}

// What differs from run to run and from version to version has a name in place of a value.
var renderer = gotpl.NewRenderer(gotpl.FuncMap{
	"Now":     func() string { return "<Now>" },
	"Version": func() string { return "<Version>" },
})

// The controllers give the stages typed objects, and patch them another way than others.
func typed(raw json.RawMessage) (metav1.Object, string) {
	var kind metav1.TypeMeta
	check(json.Unmarshal(raw, &kind))
	var object metav1.Object
	switch kind.Kind {
	case "Node":
		object = &corev1.Node{}
	case "Pod":
		object = &corev1.Pod{}
	default:
		check(fmt.Errorf("no stages for the kind %q", kind.Kind))
	}
	check(json.Unmarshal(raw, object))
	return object, kind.Kind
}

func matches(stages []*internalversion.Stage, raw json.RawMessage) []match {
	object, kind := typed(raw)
	ctx := context.Background()
	var own []*internalversion.Stage
	for _, stage := range stages {
		if stage.Spec.ResourceRef == (internalversion.StageResourceRef{APIGroup: "v1", Kind: kind}) {
			own = append(own, stage)
		}
	}
	life, err := lifecycle.NewLifecycle(own)
	check(err)
	event := &lifecycle.Event{Labels: object.GetLabels(), Annotations: object.GetAnnotations(), Data: object}
	possible, err := life.ListAllPossible(ctx, event)
	check(err)
	found := []match{}
	for _, stage := range possible {
		one := match{Stage: stage.Name(), Next: []change{}}
		delay, delayed, err := stage.Delay(ctx, event, time.Time{})
		check(err)
		if delayed {
			one.Delay = delay.String()
		}
		_, err = stage.DoSteps(0, object.GetFinalizers(), object, renderer,
			func(*internalversion.StageEvent) error {
				one.Next = append(one.Next, change{Kind: "event"})
				return nil
			},
			func() error {
				one.Next = append(one.Next, change{Kind: "delete"})
				return nil
			},
			func(patch *lifecycle.Patch) error {
				one.Next = append(one.Next, change{"patch", string(patch.Type), patch.Subresource, patch.Data})
				return nil
			},
			func(apply *lifecycle.Apply) error {
				one.Next = append(one.Next, change{"apply", string(apply.Type), apply.Subresource, apply.Data})
				return nil
			})
		check(err)
		found = append(found, one)
	}
	return found
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	loaded, err := config.Load(context.Background(), os.Args[1])
	check(err)
	stages := config.FilterWithType[*internalversion.Stage](loaded)
	var objects []json.RawMessage
	check(json.NewDecoder(os.Stdin).Decode(&objects))
	found := make([][]match, len(objects))
	for i, raw := range objects {
		found[i] = matches(stages, raw)
	}
	check(json.NewEncoder(os.Stdout).Encode(found))
}
