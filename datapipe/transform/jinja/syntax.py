"""What dbt's Jinja has beside Jinja's own grammar: tags, and parameters with types."""

from __future__ import annotations

from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser


class Test(Extension):
    """``{% test name(model, ...) %}`` is a macro called ``test_name``."""

    tags = {"test", "data_test"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        node = nodes.Macro(lineno=next(parser.stream).lineno)
        name = parser.parse_assign_target(name_only=True).name
        parser.parse_signature(node)
        node.name = f"test_{name}"
        node.body = parser.parse_statements(("name:endtest", "name:enddata_test"), drop_needle=True)
        return node


class Materialization(Extension):
    """``{% materialization name, adapter='x' %}`` is a macro called ``materialization_name_x``."""

    tags = {"materialization"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        node = nodes.Macro(lineno=next(parser.stream).lineno)
        name = parser.parse_assign_target(name_only=True).name
        adapter = "default"
        while parser.stream.skip_if("comma"):
            option = parser.parse_assign_target(name_only=True).name
            if option != "default":
                parser.stream.expect("assign")
                value = parser.parse_expression()
                adapter = str(value.as_const()) if option == "adapter" else adapter
        node.name = f"materialization_{name}_{adapter}"
        node.args, node.defaults = [], []
        node.body = parser.parse_statements(("name:endmaterialization",), drop_needle=True)
        return node


class DbtParser(Parser):
    """Reads macros whose parameters have types, too: ``macro fee(amount: int, share: float)``."""

    def parse_signature(self, node: nodes.Macro | nodes.CallBlock) -> None:
        node.args, node.defaults = [], []
        self.stream.expect("lparen")
        while self.stream.current.type != "rparen":
            if node.args:
                self.stream.expect("comma")
            parameter = self.parse_assign_target(name_only=True)
            parameter.set_ctx("param")
            if self.stream.skip_if("colon"):
                self._skip_type()
            if self.stream.skip_if("assign"):
                node.defaults.append(self.parse_expression())
            elif node.defaults:
                self.fail("non-default argument follows default argument")
            node.args.append(parameter)
        self.stream.expect("rparen")

    def parse_call_args(self) -> Any:
        """Tells a mistake at its own line, and refuses arguments that are given twice."""
        try:
            found = super().parse_call_args()
        except jinja2.TemplateSyntaxError as error:
            if (error.message or "").startswith("invalid syntax for function call"):
                error.lineno = self.stream.current.lineno
            raise
        names: set[str] = set()
        for each in found[1]:
            if each.key in names:
                self.fail(f"the argument {each.key} is given twice", each.lineno)
            names.add(each.key)
        return found

    def _skip_type(self) -> None:
        self.stream.expect("name")
        if self.stream.skip_if("lbracket"):
            self._skip_type()
            while self.stream.skip_if("comma"):
                self._skip_type()
            self.stream.expect("rbracket")
