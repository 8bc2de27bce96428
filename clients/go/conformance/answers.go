package main

import (
	"encoding/json"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

// insertAnswer inserts the answer of an earlier scenario before the last message of
// the request, when the scenario names one.
func insertAnswer(scenario *scenario, earlier []*result) error {
	if scenario.AnswerOf == "" {
		return nil
	}
	answer, err := findAnswer(scenario.AnswerOf, earlier)
	if err != nil {
		return err
	}
	outer := map[string]json.RawMessage{"request": scenario.Request}
	if scenario.RPC == "StreamComplete" {
		if err := json.Unmarshal(scenario.Request, &outer); err != nil {
			return err
		}
	}
	if outer["request"], err = insertMessage(outer["request"], answer); err != nil {
		return err
	}
	scenario.Request = outer["request"]
	if scenario.RPC == "StreamComplete" {
		scenario.Request, err = json.Marshal(outer)
	}
	return err
}

func insertMessage(request, answer json.RawMessage) (json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	var messages []json.RawMessage
	if err := json.Unmarshal(request, &fields); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(fields["messages"], &messages); err != nil {
		return nil, err
	}
	inserted, err := json.Marshal(slices.Insert(messages, len(messages)-1, answer))
	if err != nil {
		return nil, err
	}
	fields["messages"] = inserted
	return json.Marshal(fields)
}

func findAnswer(name string, earlier []*result) (json.RawMessage, error) {
	for _, result := range earlier {
		if result.Name != name {
			continue
		}
		for _, received := range []*protoJSON{result.Response, result.Folded} {
			if received == nil {
				continue
			}
			if response, ok := received.message.(*reasoningv1.CompleteResponse); ok {
				return protojson.Marshal(response.GetMessage())
			}
		}
	}
	return nil, fmt.Errorf("no earlier scenario %q has an answer", name)
}
