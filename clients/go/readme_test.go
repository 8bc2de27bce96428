package reasoninggrpc_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	reasoninggrpc "github.com/reasoning-grpc/reasoning-grpc/clients/go"
)

// Every Go snippet of the README also appears in example_test.go, so the compiler checks it. The README's whole programs
// are run by the repository's quick start check instead.
func TestReadmeCompiles(t *testing.T) {
	compiled := removeIndent(readFile(t, "example_test.go"))
	snippets := readmeBlocks(t, "go")
	if len(snippets) < 5 {
		t.Errorf("found only %d snippets", len(snippets))
	}
	for _, snippet := range snippets {
		if !strings.HasPrefix(snippet, "package main") && !strings.Contains(compiled, removeIndent(snippet)) {
			t.Errorf("not in example_test.go:\n%s", snippet)
		}
	}
}

// The README shows the service config that Dial sets.
func TestReadmeServiceConfig(t *testing.T) {
	if blocks := readmeBlocks(t, "json"); len(blocks) != 1 || blocks[0] != reasoninggrpc.ServiceConfig() {
		t.Errorf("the README shows %q", blocks)
	}
}

// readmeBlocks returns the README's code blocks in a language.
func readmeBlocks(t *testing.T, language string) []string {
	t.Helper()
	var blocks []string
	fence := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)^```$")
	for _, match := range fence.FindAllStringSubmatch(readFile(t, "README.md"), -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func removeIndent(code string) string {
	lines := strings.Split(code, "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], "\t")
	}
	return strings.Join(lines, "\n")
}
