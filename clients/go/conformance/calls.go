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

// play does what a scenario asks for and tells what came of it.
func play(plan *plan, scenario *scenario) *result {
	played := &result{Name: scenario.Name}
	var err error
	if scenario.RPC == "Fold" {
		err = fold(scenario, played)
	} else {
		err = call(plan, scenario, played)
	}
	if err != nil {
		played.Failure = err.Error()
	}
	return played
}

func fold(scenario *scenario, played *result) error {
	var folder reasoninggrpc.Folder
	for _, text := range scenario.Events {
		event := &reasoningv1.StreamCompleteResponse{}
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, event); err != nil {
			return err
		}
		folder.Add(event)
	}
	return putFolded(&folder, played)
}

func putFolded(folder *reasoninggrpc.Folder, played *result) error {
	response, err := folder.Response()
	if err != nil {
		return err
	}
	played.Folded = &protoJSON{response}
	return nil
}

func call(plan *plan, scenario *scenario, played *result) error {
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
	options := callOptions(scenario)
	switch scenario.RPC {
	case "Complete":
		return unary(ctx, scenario, played, client.Complete, options)
	case "Classify":
		return unary(ctx, scenario, played, client.Classify, options)
	case "ListModels":
		return unary(ctx, scenario, played, client.ListModels, options)
	case "StreamComplete":
		return stream(ctx, cancel, scenario, played, client, options)
	}
	return fmt.Errorf("no such RPC: %q", scenario.RPC)
}

func connect(plan *plan, scenario *scenario, cancel context.CancelFunc) (*grpc.ClientConn, error) {
	address, known := plan.Addresses[scenario.Address]
	if !known {
		return nil, fmt.Errorf("no such address: %q", scenario.Address)
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
		options = append(options, grpc.WithStatsHandler(whenSent(cancel)))
	}
	return reasoninggrpc.Dial(address, options...)
}

func callOptions(scenario *scenario) []grpc.CallOption {
	var options []grpc.CallOption
	if scenario.Compression == gzip.Name {
		options = append(options, grpc.UseCompressor(gzip.Name))
	}
	if scenario.RequestBase64 != nil {
		options = append(options, grpc.ForceCodecV2(bytesCodec{encoding.GetCodecV2(protocodec.Name), *scenario.RequestBase64}))
	}
	return options
}

// readRequest reads the request of a scenario; where its bytes are given, it stays
// empty, and bytesCodec sends those instead.
func readRequest(scenario *scenario, request proto.Message) error {
	if scenario.RequestBase64 != nil {
		return nil
	}
	return protojson.Unmarshal(scenario.Request, request)
}

func unary[Request any, Response any, RequestPointer interface {
	*Request
	proto.Message
}, ResponsePointer interface {
	*Response
	proto.Message
}](
	ctx context.Context,
	scenario *scenario,
	played *result,
	method func(context.Context, RequestPointer, ...grpc.CallOption) (ResponsePointer, error),
	options []grpc.CallOption,
) error {
	request := RequestPointer(new(Request))
	if err := readRequest(scenario, request); err != nil {
		return err
	}
	response, err := method(ctx, request, options...)
	if err != nil {
		played.Error = newCallError(err)
		return nil
	}
	played.Response = &protoJSON{response}
	return nil
}

func stream(
	ctx context.Context,
	cancel context.CancelFunc,
	scenario *scenario,
	played *result,
	client reasoningv1.ReasoningServiceClient,
	options []grpc.CallOption,
) error {
	request := &reasoningv1.StreamCompleteRequest{}
	if err := readRequest(scenario, request); err != nil {
		return err
	}
	events, unknown, cancelled := []protoJSON{}, 0, false
	played.Events, played.UnknownEvents = &events, &unknown
	stream, err := client.StreamComplete(ctx, request, options...)
	if err != nil {
		played.Error = newCallError(err)
		return nil
	}
	var folder reasoninggrpc.Folder
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return putFolded(&folder, played)
		}
		if err != nil {
			played.Error = newCallError(err)
			return nil
		}
		if cancelled {
			continue // what was under way is not looked at, only how the call ends
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

// whenSent calls a function when the request of a call was sent.
type whenSent func()

func (whenSent) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (whenSent) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (whenSent) HandleConn(context.Context, stats.ConnStats) {}

func (send whenSent) HandleRPC(_ context.Context, happened stats.RPCStats) {
	if _, sent := happened.(*stats.OutPayload); sent {
		send()
	}
}

// bytesCodec sends these bytes, whatever the message is.
type bytesCodec struct {
	encoding.CodecV2
	bytes []byte
}

func (codec bytesCodec) Marshal(any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(codec.bytes)}, nil
}
