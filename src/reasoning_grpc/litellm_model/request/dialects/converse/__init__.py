"""The dialect of Bedrock's Converse API.

models.py    the facts about a model that decide
refusals.py  refuses fields
changes.py   changes a call
reports.py   reports what the API does not get
"""
