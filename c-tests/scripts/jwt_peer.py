"""PyJWT and our tokens, in both directions. Arguments: the program of programs/jwt.c, a directory for keys."""
import json
import os
import subprocess
import sys

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

program, directory = sys.argv[1:]
CLAIMS = [{}, {"sub": "admin", "iat": 123}, {"name": "J\u00f6rg \u65e5"}, {"list": [1, 2.5, None, True]}]
CLAIMS += [{"a": "x" * n} for n in range(1, 70)]


def ours(action, alg, key, lines):
    done = subprocess.run([program, action, alg, key], input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    answers = done.stdout.splitlines()
    assert len(answers) == len(lines), done
    return answers


def both_ways(alg, our_key, our_check, their_key, their_check):
    texts = [json.dumps(c) for c in CLAIMS]
    tokens = ours("sign", alg.lower(), our_key, texts)
    for token, claims in zip(tokens, CLAIMS):
        options = {"verify_iat": False, "verify_sub": False}
        assert jwt.decode(token, their_check, algorithms=[alg], options=options) == claims
        header = jwt.get_unverified_header(token)
        assert header == {"alg": alg, "typ": "JWT", "kid": 'a "key"', "x": [1, 2]}, header
    theirs = [jwt.encode(c, their_key, algorithm=alg, headers={"kid": "1"}) for c in CLAIMS]
    found = ours("verify", alg.lower(), our_check, theirs)
    assert [json.loads(f) for f in found] == CLAIMS
    # Another signature, other claims, another header, no signature: nothing is believed.
    bad = []
    for token, other in zip(theirs, theirs[1:]):
        h, c, s = token.split(".")
        bad += [f"{h}.{c}.{other.split('.')[2]}", f"{h}.{other.split('.')[1]}.{s}", f"{h}.{c}.", f"{h}.{c}", f"{token}.", f"{token}="]
    bad += [jwt.encode(c, None, algorithm="none") for c in CLAIMS]
    assert set(ours("verify", alg.lower(), our_check, bad)) == {"-"}
    return theirs


SECRET = "a secret of more than thirty-two bytes"
hs = both_ways("HS256", SECRET, SECRET, SECRET, SECRET)
for n, (form, label) in enumerate([("TraditionalOpenSSL", "EC PRIVATE KEY"), ("PKCS8", "PRIVATE KEY")] * 3):
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), serialization.NoEncryption()
    )
    assert f"BEGIN {label}".encode() in pem
    path = os.path.join(directory, f"key{n}.pem")
    with open(path, "wb") as f:
        f.write(pem)
    point = key.public_key().public_numbers()
    public = f"{point.x:064x}{point.y:064x}"
    es = both_ways("ES256", path, public, key, key.public_key())
    assert set(ours("verify", "es256", public, hs)) == {"-"}
    assert set(ours("verify", "hs256", SECRET, es)) == {"-"}
