package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	reasoninggrpc "github.com/reasoning-grpc/reasoning-grpc/clients/go"
	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

// runScenario makes the call of a scenario and returns its result.
func runScenario(plan *plan, scenario *scenario) *result {
	result := &result{Name: scenario.Name}
	var err error
	if scenario.RPC == "Fold" {
		err = foldEvents(scenario, result)
	} else {
		err = makeCall(plan, scenario, result)
	}
	if err != nil {
		result.Failure = err.Error()
	}
	return result
}

func foldEvents(scenario *scenario, result *result) error {
	var folder reasoninggrpc.Folder
	for _, text := range scenario.Events {
		event := &reasoningv1.StreamCompleteResponse{}
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, event); err != nil {
			return err
		}
		folder.Add(event)
	}
	return setFolded(&folder, result)
}

func setFolded(folder *reasoninggrpc.Folder, result *result) error {
	response, err := folder.Response()
	if err != nil {
		return err
	}
	result.Folded = &protoJSON{response}
	return nil
}

func makeCall(plan *plan, scenario *scenario, result *result) error {
	ctx, cancel := context.WithTimeout(context.Background(), scenario.timeout())
	defer cancel()
	for name, value := range scenario.Metadata {
		ctx = metadata.AppendToOutgoingContext(ctx, name, value)
	}
	connection, err := connect(plan, scenario, cancel)
	if err != nil {
		return err
	}
	defer connection.Close()
	client := reasoningv1.NewReasoningServiceClient(connection)
	options := buildCallOptions(scenario)
	switch scenario.RPC {
	case "Complete":
		return callUnary(ctx, scenario, result, client.Complete, options)
	case "Classify":
		return callUnary(ctx, scenario, result, client.Classify, options)
	case "ListModels":
		return callUnary(ctx, scenario, result, client.ListModels, options)
	case "StreamComplete":
		return readStream(ctx, cancel, scenario, result, client, options)
	}
	return fmt.Errorf("unknown RPC %q", scenario.RPC)
}

func connect(plan *plan, scenario *scenario, cancel context.CancelFunc) (*grpc.ClientConn, error) {
	address, known := plan.Addresses[scenario.Address]
	if !known {
		return nil, fmt.Errorf("unknown address %q", scenario.Address)
	}
	options := []grpc.DialOption{reasoninggrpc.WithToken(scenario.Token)}
	if scenario.Address == "tls" {
		config, err := reasoninggrpc.TLSFiles{CertificateAuthority: plan.CertificateAuthority}.Config()
		if err != nil {
			return nil, err
		}
		options = append(options, reasoninggrpc.WithTLS(config))
	}
	if scenario.CancelAfterEvents != nil && *scenario.CancelAfterEvents == 0 {
		options = append(options, grpc.WithStatsHandler(onRequestSent(cancel)))
	}
	return reasoninggrpc.Dial(address, options...)
}

func buildCallOptions(scenario *scenario) []grpc.CallOption {
	var options []grpc.CallOption
	if scenario.Compression == gzip.Name {
		options = append(options, grpc.UseCompressor(gzip.Name))
	}
	if scenario.RequestBase64 != nil {
		options = append(options, grpc.ForceCodecV2(bytesCodec{encoding.GetCodecV2(protocodec.Name), *scenario.RequestBase64}))
	}
	return options
}

// readRequest fills the request from the scenario. The request stays empty when the
// scenario gives its bytes, because bytesCodec sends those bytes in its place.
func readRequest(scenario *scenario, request proto.Message) error {
	if scenario.RequestBase64 != nil {
		return nil
	}
	return protojson.Unmarshal(scenario.Request, request)
}

func callUnary[Request any, Response any, RequestPointer interface {
	*Request
	proto.Message
}, ResponsePointer interface {
	*Response
	proto.Message
}](
	ctx context.Context,
	scenario *scenario,
	result *result,
	method func(context.Context, RequestPointer, ...grpc.CallOption) (ResponsePointer, error),
	options []grpc.CallOption,
) error {
	request := RequestPointer(new(Request))
	if err := readRequest(scenario, request); err != nil {
		return err
	}
	response, err := method(ctx, request, options...)
	if err != nil {
		result.Error = convertError(err)
		return nil
	}
	result.Response = &protoJSON{response}
	return nil
}

func readStream(
	ctx context.Context,
	cancel context.CancelFunc,
	scenario *scenario,
	result *result,
	client reasoningv1.ReasoningServiceClient,
	options []grpc.CallOption,
) error {
	request := &reasoningv1.StreamCompleteRequest{}
	if err := readRequest(scenario, request); err != nil {
		return err
	}
	events, unknown, cancelled := []protoJSON{}, 0, false
	result.Events, result.UnknownEvents = &events, &unknown
	stream, err := client.StreamComplete(ctx, request, options...)
	if err != nil {
		result.Error = convertError(err)
		return nil
	}
	var folder reasoninggrpc.Folder
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return setFolded(&folder, result)
		}
		if err != nil {
			result.Error = convertError(err)
			return nil
		}
		if cancelled {
			continue // ignores events that were in flight; only the end of the call counts
		}
		folder.Add(event)
		events = append(events, protoJSON{event})
		if event.GetKind() == nil {
			unknown++
		}
		if scenario.CancelAfterEvents != nil && len(events) == *scenario.CancelAfterEvents {
			cancelled = true
			cancel()
		}
	}
}

// onRequestSent calls its function when the request of a call has been sent.
type onRequestSent func()

func (onRequestSent) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (onRequestSent) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (onRequestSent) HandleConn(context.Context, stats.ConnStats) {}

func (callback onRequestSent) HandleRPC(_ context.Context, event stats.RPCStats) {
	if _, isSent := event.(*stats.OutPayload); isSent {
		callback()
	}
}

// bytesCodec sends its bytes in place of every message.
type bytesCodec struct {
	encoding.CodecV2
	bytes []byte
}

func (codec bytesCodec) Marshal(any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(codec.bytes)}, nil
}
