"""The bodies that we write ourselves, and the check of the bodies that litellm has written.

amounts.py         the amount of reasoning in the words of providers of the OpenAI protocol
anthropic.py       the conversation and the tools in Anthropic's protocol
body_plan.py       how litellm writes the parameters of one shape; body_frame.py has their bytes
converse.py        the reasoning of earlier answers in bodies of Converse that litellm has written
gemini.py          the conversation, the tools and the answer's schema in Gemini's protocol
ollama.py          the whole body in Ollama's protocol
responses.py       the whole body in the protocol of OpenAI's Responses API
response_items.py  the conversation in this protocol
members.py         puts members into a body
wire_check.py      makes a body of the OpenAI protocol hold what was requested, by the rules in wire_rules.py
"""
