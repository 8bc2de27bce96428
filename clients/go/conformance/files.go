package main

import (
	"encoding/json"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	reasoninggrpc "github.com/reasoning-grpc/reasoning-grpc/clients/go"
)

type plan struct {
	Addresses            map[string]string `json:"addresses"`
	CertificateAuthority string            `json:"certificate_authority"`
	Scenarios            []scenario        `json:"scenarios"`
}

type scenario struct {
	Name              string            `json:"name"`
	Address           string            `json:"address"`
	RPC               string            `json:"rpc"`
	Request           json.RawMessage   `json:"request"`
	RequestBase64     *[]byte           `json:"request_base64"`
	Token             string            `json:"token"`
	Metadata          map[string]string `json:"metadata"`
	TimeoutSeconds    float64           `json:"timeout_seconds"`
	Compression       string            `json:"compression"`
	CancelAfterEvents *int              `json:"cancel_after_events"`
	Events            []json.RawMessage `json:"events"`
	AnswerOf          string            `json:"answer_of"`
}

func (s *scenario) timeout() time.Duration {
	return time.Duration(s.TimeoutSeconds * float64(time.Second))
}

type results struct {
	Client  string    `json:"client"`
	Results []*result `json:"results"`
}

type result struct {
	Name          string       `json:"name"`
	Response      *protoJSON   `json:"response,omitempty"`
	Events        *[]protoJSON `json:"events,omitempty"`
	UnknownEvents *int         `json:"unknown_events,omitempty"`
	Folded        *protoJSON   `json:"folded,omitempty"`
	Error         *callError   `json:"error,omitempty"`
	Failure       string       `json:"failure,omitempty"`
}

type callError struct {
	Code              string            `json:"code"`
	Message           string            `json:"message"`
	Reason            string            `json:"reason"`
	Domain            string            `json:"domain"`
	Metadata          map[string]string `json:"metadata"`
	RequestID         string            `json:"request_id"`
	RetryAfterSeconds *float64          `json:"retry_after_seconds"`
	Violations        []violation       `json:"violations"`
	Interruption      *protoJSON        `json:"interruption"`
	RouteDecision     *protoJSON        `json:"route_decision"`
}

type violation struct {
	Field       string `json:"field"`
	Description string `json:"description"`
}

func convertError(err error) *callError {
	details := reasoninggrpc.ErrorDetails(err)
	converted := &callError{
		Code:       code.Code(details.Code).String(),
		Message:    details.Message,
		Reason:     details.Reason,
		Domain:     details.Domain,
		Metadata:   details.Metadata,
		RequestID:  details.RequestID,
		Violations: []violation{},
	}
	if converted.Metadata == nil {
		converted.Metadata = map[string]string{}
	}
	if details.Retryable {
		seconds := details.RetryAfter.Seconds()
		converted.RetryAfterSeconds = &seconds
	}
	for _, each := range details.Violations {
		converted.Violations = append(converted.Violations, violation(each))
	}
	if details.Interruption != nil {
		converted.Interruption = &protoJSON{details.Interruption}
	}
	if details.RouteDecision != nil {
		converted.RouteDecision = &protoJSON{details.RouteDecision}
	}
	return converted
}

// protoJSON encodes its message as ProtoJSON.
type protoJSON struct{ message proto.Message }

func (p protoJSON) MarshalJSON() ([]byte, error) {
	return protojson.Marshal(p.message)
}
