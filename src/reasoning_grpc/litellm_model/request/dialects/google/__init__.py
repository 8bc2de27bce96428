"""The dialect of Gemini's models.

models.py        the facts about a model that decide
conversation.py  the order and the content of messages
schemas.py       JSON schemas in the words of OpenAPI
json_schemas.py  JSON schemas in their own words, as far as Google lists them
"""
