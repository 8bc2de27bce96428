package reasoninggrpc

import (
	"strings"

	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

// TextRequest creates a request with one user message.
func TextRequest(text string) *reasoningv1.CompleteRequest {
	return &reasoningv1.CompleteRequest{
		Messages: []*reasoningv1.Message{TextMessage(reasoningv1.Role_ROLE_USER, text)},
	}
}

// TextMessage creates a message with one text part, for example a system message
// before the user's, or the user's next message after an answer.
func TextMessage(role reasoningv1.Role, text string) *reasoningv1.Message {
	return &reasoningv1.Message{
		Role:    role,
		Content: []*reasoningv1.Part{{Kind: &reasoningv1.Part_Text{Text: text}}},
	}
}

// Text returns the text of a message: it joins all text parts, and leaves out
// refusals, reasoning and tool calls.
func Text(message *reasoningv1.Message) string {
	var text strings.Builder
	for _, part := range message.GetContent() {
		text.WriteString(part.GetText())
	}
	return text.String()
}
