"""The JSON-DSL of rules.

values      what rules compare: one form per kind
catalogue   what is known of tasks and executors, and which values are allowed
language    conditions as values, and what they mean
parsing     from a document to a checked rule set (checks: operators against types; faults: what is wrong)
examples    what a rule set says of itself, and whether it is so
compiled    a rule set bound to a roster, answering per eligibility class (keys, columns, leaves)
"""

from app.rule_engine.catalogue import Catalogue, Checked, Parameter
from app.rule_engine.compiled import CompiledRules, compile_rules
from app.rule_engine.examples import Surprise, run_examples
from app.rule_engine.faults import Fault, RuleSetInvalid
from app.rule_engine.language import RuleSet
from app.rule_engine.parsing import parse_rule_set
from app.rule_engine.values import ParameterType

__all__ = [
    "Catalogue", "Checked", "CompiledRules", "Fault", "Parameter", "ParameterType", "RuleSet", "RuleSetInvalid",
    "Surprise", "compile_rules", "parse_rule_set", "run_examples",
]  # fmt: skip
