// The command go-server is a server made with the official Go SDK, of the protocol of 2026-07-28 and of the older ones.
//
// It runs as `go-server stdio`, `go-server http` or `go-server stateful`. Over HTTP it writes the port on which it listens
// to its standard error. With "stateful", the SDK's default, it keeps sessions, and so speaks only the older protocols.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type nothing struct{}

type numbers struct {
	A int `json:"a"`
	B int `json:"b"`
}

type sum struct {
	Sum int `json:"sum"`
}

type place struct {
	Region string `json:"region"`
}

var nameForm = map[string]any{
	"type":       "object",
	"properties": map[string]any{"name": map[string]any{"type": "string"}},
	"required":   []string{"name"},
}

var regionSchema = map[string]any{
	"type":       "object",
	"properties": map[string]any{"region": map[string]any{"type": "string", "x-mcp-header": "Region"}},
	"required":   []string{"region"},
}

func write(text string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}
}

func add(_ context.Context, _ *mcp.CallToolRequest, in numbers) (*mcp.CallToolResult, sum, error) {
	return nil, sum{in.A + in.B}, nil
}

func listCities(context.Context, *mcp.CallToolRequest, nothing) (*mcp.CallToolResult, []string, error) {
	return nil, []string{"Bergen", "Oslo"}, nil
}

func greet(_ context.Context, request *mcp.CallToolRequest, _ nothing) (*mcp.CallToolResult, any, error) {
	if given, ok := request.Params.InputResponses["name"]; ok {
		return write(fmt.Sprintf("Hello, %v.", given)), nil, nil
	}
	question := &mcp.ElicitParams{Message: "What is your name?", RequestedSchema: nameForm}
	return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"name": question}}, nil, nil
}

func wait(_ context.Context, request *mcp.CallToolRequest, _ nothing) (*mcp.CallToolResult, any, error) {
	if state := request.Params.RequestState; state != "" {
		return write("after " + state), nil, nil
	}
	return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{}, RequestState: "half"}, nil, nil
}

func findRegion(_ context.Context, _ *mcp.CallToolRequest, in place) (*mcp.CallToolResult, any, error) {
	return write(in.Region), nil, nil
}

func readPid(context.Context, *mcp.CallToolRequest, nothing) (*mcp.CallToolResult, any, error) {
	return write(strconv.Itoa(os.Getpid())), nil, nil
}

// breakPromise gives a result that does not fit its output schema, which the SDK does not check for plain handlers.
func breakPromise(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{}, StructuredContent: map[string]any{"sum": "three"}}, nil
}

func buildServer() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "go", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "add"}, add)
	mcp.AddTool(server, &mcp.Tool{Name: "list_cities"}, listCities)
	mcp.AddTool(server, &mcp.Tool{Name: "greet"}, greet)
	mcp.AddTool(server, &mcp.Tool{Name: "wait"}, wait)
	mcp.AddTool(server, &mcp.Tool{Name: "find_region", InputSchema: regionSchema}, findRegion)
	mcp.AddTool(server, &mcp.Tool{Name: "read_pid"}, readPid)
	server.AddTool(&mcp.Tool{
		Name:        "break_promise",
		InputSchema: map[string]any{"type": "object"},
		OutputSchema: map[string]any{
			"type":       "object",
			"properties": map[string]any{"sum": map[string]any{"type": "integer"}},
		},
	}, breakPromise)
	return server
}

func main() {
	mode, server := os.Args[1], buildServer()
	if mode == "stdio" {
		log.Fatal(server.Run(context.Background(), &mcp.StdioTransport{}))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	options := &mcp.StreamableHTTPOptions{Stateless: mode == "http"}
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, options)
	fmt.Fprintf(os.Stderr, "listening %d\n", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, handler))
}
