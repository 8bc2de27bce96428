package reasoninggrpc

import (
	"strings"

	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

type partKind int

const (
	textPart partKind = iota
	refusalPart
	reasoningPart
	redactedPart
	toolCallPart
)

// openPart is a part of the answer that further deltas may extend.
type openPart struct {
	kind      partKind
	text      strings.Builder
	redacted  []byte
	callID    string
	name      string
	signature string
}

// messageParts joins the deltas of the answer into message parts. The parts are in
// the order of their first deltas.
type messageParts struct {
	parts []*openPart
	calls map[string]*openPart
}

func (p *messageParts) add(event *reasoningv1.StreamCompleteResponse) {
	switch kind := event.GetKind().(type) {
	case *reasoningv1.StreamCompleteResponse_ContentDelta:
		p.addContent(kind.ContentDelta)
	case *reasoningv1.StreamCompleteResponse_ReasoningDelta:
		p.addReasoning(kind.ReasoningDelta)
	case *reasoningv1.StreamCompleteResponse_ToolCallDelta:
		p.addToolCall(kind.ToolCallDelta)
	}
}

func (p *messageParts) addContent(delta *reasoningv1.ContentDelta) {
	switch {
	case delta.GetText() != "" && delta.GetRefusal():
		p.findOpen(refusalPart).append(delta.GetText(), delta.GetSignature())
	case delta.GetText() != "":
		p.findOpen(textPart).append(delta.GetText(), delta.GetSignature())
	case delta.GetSignature() != "":
		p.findLastText().append("", delta.GetSignature())
	}
}

func (p *messageParts) addReasoning(delta *reasoningv1.ReasoningDelta) {
	if redacted := delta.GetRedacted(); len(redacted) > 0 {
		part := p.begin(redactedPart)
		part.redacted, part.signature = redacted, delta.GetSignature()
		return
	}
	p.findOpen(reasoningPart).append(delta.GetText(), delta.GetSignature())
}

func (p *messageParts) addToolCall(delta *reasoningv1.ToolCallDelta) {
	part, exists := p.calls[delta.GetCallId()]
	if !exists {
		part = p.begin(toolCallPart)
		part.callID = delta.GetCallId()
		if p.calls == nil {
			p.calls = map[string]*openPart{}
		}
		p.calls[part.callID] = part
	}
	if part.name == "" {
		part.name = delta.GetName()
	}
	part.append(delta.GetArguments(), delta.GetSignature())
}

// findOpen returns the part that a delta of this kind extends: the last part, when
// it is of this kind and has no signature yet, and otherwise a new part.
func (p *messageParts) findOpen(kind partKind) *openPart {
	if len(p.parts) > 0 {
		if part := p.parts[len(p.parts)-1]; part.kind == kind && part.signature == "" {
			return part
		}
	}
	return p.begin(kind)
}

// findLastText returns the last text part, even when parts of other kinds follow it.
// It begins a new part when the answer has no text part.
func (p *messageParts) findLastText() *openPart {
	for i := len(p.parts) - 1; i >= 0; i-- {
		if p.parts[i].kind == textPart {
			return p.parts[i]
		}
	}
	return p.begin(textPart)
}

func (p *messageParts) begin(kind partKind) *openPart {
	part := &openPart{kind: kind}
	p.parts = append(p.parts, part)
	return part
}

func (p *messageParts) buildMessage() *reasoningv1.Message {
	message := &reasoningv1.Message{Role: reasoningv1.Role_ROLE_ASSISTANT}
	for _, part := range p.parts {
		message.Content = append(message.Content, part.build())
	}
	return message
}

func (p *openPart) append(text, signature string) {
	p.text.WriteString(text)
	if signature != "" {
		p.signature = signature
	}
}

func (p *openPart) build() *reasoningv1.Part {
	part := &reasoningv1.Part{Signature: p.signature}
	text := p.text.String()
	switch p.kind {
	case textPart:
		part.Kind = &reasoningv1.Part_Text{Text: text}
	case refusalPart:
		part.Kind = &reasoningv1.Part_Refusal{Refusal: text}
	case reasoningPart:
		part.Kind = &reasoningv1.Part_Reasoning{
			Reasoning: &reasoningv1.Reasoning{Form: &reasoningv1.Reasoning_Text{Text: text}},
		}
	case redactedPart:
		part.Kind = &reasoningv1.Part_Reasoning{
			Reasoning: &reasoningv1.Reasoning{Form: &reasoningv1.Reasoning_Redacted{Redacted: p.redacted}},
		}
	case toolCallPart:
		part.Kind = &reasoningv1.Part_ToolCall{
			ToolCall: &reasoningv1.ToolCall{Id: p.callID, Name: p.name, Arguments: text},
		}
	}
	return part
}
