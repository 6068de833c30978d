"""The JSON-DSL of rules.

catalogue   what is known of tasks and executors, and which values are allowed
language    conditions as values, and what they mean
parsing     from a document to a checked rule set
compiled    a rule set bound to a roster, answering per eligibility class
"""

from app.rule_engine.catalogue import Catalogue, Checked, Parameter, ParameterType
from app.rule_engine.compiled import CompiledRules, compile_rules
from app.rule_engine.language import RuleSet
from app.rule_engine.parsing import Fault, RuleSetInvalid, parse_rule_set

__all__ = [
    "Catalogue", "Checked", "CompiledRules", "Fault", "Parameter", "ParameterType", "RuleSet", "RuleSetInvalid",
    "compile_rules", "parse_rule_set",
]  # fmt: skip
