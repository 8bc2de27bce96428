"""Joins neighbouring deltas, so that what one network read brought leaves as few messages as possible."""

from reasoning_grpc.domain.events import ContentDelta, Delta, ReasoningDelta, ToolCallDelta


def join_deltas(deltas: list[Delta]) -> list[Delta]:
    """Returns the deltas with each run of neighbours of one kind joined to one delta."""
    if len(deltas) < 2:
        return deltas
    result: list[Delta] = []
    run: list[Delta] = []
    for delta in deltas:
        if run and not _can_join(run[-1], delta):
            result.append(_join_run(run))
            run = []
        run.append(delta)
    result.append(_join_run(run))
    return result


def _can_join(before: Delta, after: Delta) -> bool:
    """Whether one delta can say what these two say; a signature ends what it signs."""
    match before, after:
        case ContentDelta(), ContentDelta():
            return before.refusal == after.refusal and not before.signature
        case ReasoningDelta(), ReasoningDelta():
            return not (before.signature or before.redacted or after.redacted)
        case ToolCallDelta(), ToolCallDelta():
            return before.call_id == after.call_id
        case _:
            return False


def _join_run(run: list[Delta]) -> Delta:
    first, last = run[0], run[-1]
    if len(run) == 1:
        return first
    match first:
        case ContentDelta():
            texts = [delta for delta in run if isinstance(delta, ContentDelta)]
            logprobs = tuple(logprob for delta in texts for logprob in delta.logprobs)
            return ContentDelta("".join(delta.text for delta in texts), logprobs, first.refusal, texts[-1].signature)
        case ReasoningDelta():
            text = "".join(delta.text for delta in run if isinstance(delta, ReasoningDelta))
            return ReasoningDelta(text, signature=last.signature if isinstance(last, ReasoningDelta) else "")
        case ToolCallDelta():
            calls = [delta for delta in run if isinstance(delta, ToolCallDelta)]
            signature = next((call.signature for call in reversed(calls) if call.signature), "")
            name = "".join(call.name for call in calls)
            arguments = "".join(call.arguments for call in calls)
            return ToolCallDelta(first.call_id, first.index, name, arguments, signature)
