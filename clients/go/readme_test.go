package reasoninggrpc_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	reasoninggrpc "github.com/reasoning-grpc/reasoning-grpc/clients/go"
)

// Every piece of Go in the README stands in example_test.go, where the compiler reads it; whole programs are run elsewhere.
func TestReadmeCompiles(t *testing.T) {
	compiled := withoutIndent(contents(t, "example_test.go"))
	pieces := fenced(t, "go")
	if len(pieces) < 5 {
		t.Errorf("found only %d pieces", len(pieces))
	}
	for _, piece := range pieces {
		if !strings.HasPrefix(piece, "package main") && !strings.Contains(compiled, withoutIndent(piece)) {
			t.Errorf("not in example_test.go:\n%s", piece)
		}
	}
}

// The README shows the service config as it is.
func TestReadmeServiceConfig(t *testing.T) {
	if shown := fenced(t, "json"); len(shown) != 1 || shown[0] != reasoninggrpc.ServiceConfig() {
		t.Errorf("the README shows %q", shown)
	}
}

// fenced lists the README's blocks of a language.
func fenced(t *testing.T, language string) []string {
	t.Helper()
	var blocks []string
	fence := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)^```$")
	for _, match := range fence.FindAllStringSubmatch(contents(t, "README.md"), -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}

func contents(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func withoutIndent(code string) string {
	lines := strings.Split(code, "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], "\t")
	}
	return strings.Join(lines, "\n")
}
