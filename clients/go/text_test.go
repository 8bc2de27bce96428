package reasoninggrpc_test

import (
	"testing"

	reasoninggrpc "github.com/reasoning-grpc/reasoning-grpc/clients/go"
	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

// Text joins the text parts of a message and leaves out the other parts.
func TestText(t *testing.T) {
	for name, test := range map[string]struct{ message, expected string }{
		"no parts": {},
		"one part": {`content { text: "Hello" }`, "Hello"},
		"text parts between other parts": {
			`content { reasoning { text: "Hm." } } content { text: "4" signature: "s" } content { tool_call { id: "1" name: "f" } }
				content { tool_result { call_id: "1" content: "3" } } content { text: "2" }`,
			"42",
		},
		"refusal": {`content { refusal: "No." }`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			message := &reasoningv1.Message{}
			parseText(t, test.message, message)

			if text := reasoninggrpc.Text(message); text != test.expected {
				t.Errorf("the text is %q", text)
			}
		})
	}
}

// Text returns an empty string when there is no message.
func TestTextOfNilMessage(t *testing.T) {
	var response *reasoningv1.CompleteResponse

	if text := reasoninggrpc.Text(response.GetMessage()); text != "" {
		t.Errorf("the text is %q", text)
	}
}

// TextMessage creates a message with the given role and text.
func TestTextMessage(t *testing.T) {
	message := reasoninggrpc.TextMessage(reasoningv1.Role_ROLE_SYSTEM, "Be brief.")

	if message.GetRole() != reasoningv1.Role_ROLE_SYSTEM || reasoninggrpc.Text(message) != "Be brief." {
		t.Errorf("got %v", message)
	}
}

// TextRequest creates a request with one user message of the given text.
func TestTextRequest(t *testing.T) {
	request := reasoninggrpc.TextRequest("hi")

	if messages := request.GetMessages(); len(messages) != 1 || messages[0].GetRole() != reasoningv1.Role_ROLE_USER ||
		reasoninggrpc.Text(messages[0]) != "hi" {
		t.Errorf("got %v", request)
	}
}
