"""Coverage-guided fuzzing of what others send us: requests on the wire, and the answers of upstreams.

`make fuzz` runs it with atheris, `python -m tests.fuzz --seconds 60` a short form. The tests replay the corpus
without atheris. A target takes bytes, and raises for whatever must not happen.

targets.py       the targets, by name
wire_target.py   bytes of a request, through the interceptor, the checks and an engine, without a network
answer_target.py bytes of an answer, in any network reads, through each of our readers
refusal_target.py  status, headers and body of an error
in_process.py    calls of our service in this process
instant_model.py a model that answers at once
seeds.py         what fuzzing begins with, and the words of each protocol
corpus/          inputs that fuzzing found, one folder a target
"""
