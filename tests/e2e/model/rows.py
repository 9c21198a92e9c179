"""What a server says of its commands: COMMAND for arity and flags, COMMAND DOCS for arguments."""

import harness


class Argument:
    def __init__(self, said):
        self.name = said[b"name"].decode()
        self.type = said[b"type"].decode()
        self.token = said.get(b"token", b"")
        flags = {bytes(flag) for flag in said.get(b"flags", [])}
        self.optional = b"optional" in flags
        self.multiple = b"multiple" in flags
        self.multiple_token = b"multiple_token" in flags
        self.parts = [Argument(pairs(part)) for part in said.get(b"arguments", [])]

    def any(self, test):
        return test(self) or any(part.any(test) for part in self.parts)


class Row:
    """One command, or one subcommand: its words are those to send before the arguments."""

    def __init__(self, name, arity, flags, group, arguments):
        self.name = name
        self.words = [word.upper().encode() for word in name.split("|")]
        self.arity = arity
        self.flags = flags
        self.group = group
        self.arguments = arguments

    def has(self, test):
        return any(argument.any(test) for argument in self.arguments)

    def has_type(self, *types):
        return self.has(lambda argument: argument.type in types)


def pairs(reply):
    """A map of RESP2 or RESP3 as a dict."""
    if isinstance(reply, dict):
        return reply
    return dict(zip(reply[::2], reply[1::2]))


def read(client):
    """name -> Row, subcommands as "client|list"; a command that only has subcommands is no row."""
    docs = {}
    for name, said in pairs(client.value("COMMAND", "DOCS")).items():
        said = pairs(said)
        docs[name] = said
        for subname, subsaid in pairs(said.get(b"subcommands", [])).items():
            docs[subname] = pairs(subsaid)
    rows = {}

    def add(info):
        name, arity, flags = info[0], info[1], info[2]
        subcommands = info[9] if len(info) > 9 else []
        for subcommand in subcommands:
            add(subcommand)
        # COMMAND alone is a command too; CLIENT alone only lacks its subcommand.
        if subcommands and arity != -1:
            return
        said = docs.get(name, {})
        arguments = [Argument(pairs(part)) for part in said.get(b"arguments", [])]
        rows[name.decode()] = Row(name.decode(), arity, {bytes(flag).decode() for flag in flags},
                                  said.get(b"group", b"").decode(), arguments)

    infos = client.value("COMMAND")
    if isinstance(infos, harness.Error):
        raise RuntimeError(infos)
    for info in infos:
        add(info)
    return rows
