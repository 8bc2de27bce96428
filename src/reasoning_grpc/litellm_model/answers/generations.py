"""`GenerationCheck`: notices that the parts of two answers stand in one stream."""

from dataclasses import dataclass

from reasoning_grpc.litellm_model.answers.errors import MalformedAnswer


@dataclass(slots=True)
class GenerationCheck:
    """Compares the ids in the parts of one answer.

    Most servers give all parts one id, and a few give each part an id of its own. So a new id begins a second
    answer only where an id has been repeated. Parts without content may have any id, and parts without an id
    belong to the answer. Whatever the ids, content begins a second answer when it follows a finish reason that came
    alone; some servers send a finish reason with every part.
    """

    _id: object = None
    _is_repeated: bool = False
    _has_content: bool = False
    _has_older_content: bool = False
    """Whether any content came under another id than the latest."""

    _has_begun: bool = False
    """Whether any content came."""
    _is_over: bool = False
    """Whether a finish reason came alone, after content."""

    def is_continued_by(self, part_id: object) -> bool:
        """Whether content under this id continues the answer for certain, so that there is nothing to record."""
        has_content = self._has_begun and self._has_content
        if self._is_over or not has_content or (self._is_repeated and self._has_older_content):
            return False
        return not part_id or (part_id == self._id and self._is_repeated)

    def check(self, part_id: object, *, has_content: bool, has_finish: bool) -> None:
        """Records a part. Raises MalformedAnswer if its content is that of a second answer."""
        if has_content:
            if self._is_over:
                raise MalformedAnswer("content follows the end of the answer")
            self._has_begun = True
        elif has_finish:
            self._is_over = self._has_begun
            has_content = True
        if part_id and part_id == self._id:
            if self._is_repeated and self._has_content and not self._has_older_content:
                return  # most parts
            self._is_repeated = True
        elif part_id and (has_content or not self._id):
            self._has_older_content = self._has_content
            self._id = part_id
        if has_content:
            self._has_content = True
            if self._is_repeated and self._has_older_content:
                raise MalformedAnswer("a second answer began in the same stream")
