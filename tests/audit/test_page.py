from __future__ import annotations

from tosmooth.audit.page import with_code


def test_commands_are_set_as_code_and_everything_is_escaped():
    assert with_code("run `tosmooth study` at T = 1") == "run <code>tosmooth study</code> at T\u00a0=\u00a01"
    assert with_code("a <b> `<i>`") == "a &lt;b&gt; <code>&lt;i&gt;</code>"
    assert with_code("a lone ` stays") == "a lone ` stays"
