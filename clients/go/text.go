package reasoninggrpc

import (
	"strings"

	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

// TextRequest makes a request of one message of the user.
func TextRequest(text string) *reasoningv1.CompleteRequest {
	return &reasoningv1.CompleteRequest{Messages: []*reasoningv1.Message{{
		Role:    reasoningv1.Role_ROLE_USER,
		Content: []*reasoningv1.Part{{Kind: &reasoningv1.Part_Text{Text: text}}},
	}}}
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
