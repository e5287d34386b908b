"""A public key that nobody can log in with."""

from __future__ import annotations

from generator.provider.ssh_key import fingerprint, throw_away


def test_nobody_has_the_other_half_of_the_key() -> None:
    one, other = throw_away(), throw_away()
    assert one != other
    assert one.line.startswith("ssh-ed25519 AAAA")
    # ssh-keygen -l -E md5
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPmLHXRkbGrg8K9TkN4CgWFrIpuoA8JZ1hYYvzxCvzQ5 x"
    assert len(fingerprint(line)) == 47
    assert fingerprint(one.line) == one.fingerprint
