package reasoninggrpc

import "github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"

// TextRequest makes a request of one message of the user.
func TextRequest(text string) *reasoningv1.CompleteRequest {
	return &reasoningv1.CompleteRequest{Messages: []*reasoningv1.Message{{
		Role:    reasoningv1.Role_ROLE_USER,
		Content: []*reasoningv1.Part{{Kind: &reasoningv1.Part_Text{Text: text}}},
	}}}
}
