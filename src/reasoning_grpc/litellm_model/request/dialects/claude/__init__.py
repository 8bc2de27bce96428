"""The dialect of Claude's models, at Anthropic, on Bedrock and on Databricks.

models.py        the facts about a model that decide
conversation.py  the order and the content of messages
media.py         images, documents and cache marks
formats.py       the format of an answer
reasoning.py     what a model that reasons takes beside the amount of reasoning
user.py          the end user
"""
