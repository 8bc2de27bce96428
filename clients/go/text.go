package reasoninggrpc

import (
	"strings"

	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

// TextRequest makes a request of one message of the user.
func TextRequest(text string) *reasoningv1.CompleteRequest {
	return &reasoningv1.CompleteRequest{
		Messages: []*reasoningv1.Message{TextMessage(reasoningv1.Role_ROLE_USER, text)},
	}
}

// TextMessage makes a message of one part of text, such as what the system says
// before the user does, or the user after an answer.
func TextMessage(role reasoningv1.Role, text string) *reasoningv1.Message {
	return &reasoningv1.Message{
		Role:    role,
		Content: []*reasoningv1.Part{{Kind: &reasoningv1.Part_Text{Text: text}}},
	}
}

// Text returns the text of a message: all its parts of text, joined. Refusals and
// reasoning are not text.
func Text(message *reasoningv1.Message) string {
	var text strings.Builder
	for _, part := range message.GetContent() {
		text.WriteString(part.GetText())
	}
	return text.String()
}
