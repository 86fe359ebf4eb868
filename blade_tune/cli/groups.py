"""Command groups whose help lists commands in the order of their use instead of the alphabet."""

from collections.abc import Mapping, Sequence

import click


class InOrder(click.Group):
    """A group that lists its commands in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands in the order of the help text."""
        return list(self.commands)


class InSections(InOrder):
    """A group that lists its commands under headings."""

    sections: Mapping[str, list[str]] = {}

    def add_sections(self, sections: Mapping[str, Sequence[click.Command]]) -> None:
        """Add commands, in order, by the heading under which the help text lists them."""
        names: dict[str, list[str]] = {}
        for title, commands in sections.items():
            names[title] = [str(command.name) for command in commands]
            for command in commands:
                self.add_command(command)
        self.sections = names

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write a section for each heading, all with columns of the same width."""
        width = max(map(len, self.commands))
        for title, names in self.sections.items():
            with formatter.section(title):
                limit = formatter.width - width - 6
                rows = []
                for name in names:
                    summary = self.commands[name].get_short_help_str(limit)
                    rows.append((name.ljust(width), summary))
                formatter.write_dl(rows)
