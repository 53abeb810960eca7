"""What only training does is gone."""

from __future__ import annotations

from archdsl.analysis.cost import in_state
from archdsl.backends.optimizing.program import Edit, Program, remade


def evaluation(program: Program) -> Program:
    """Take away what only training needs: its outputs, and layers that hand on what comes in."""
    edit = Edit(_without_training(program))
    given = {output.node for output in edit.checked.outputs}
    for node in [*edit.nodes.values()]:
        if node.layer.inert and len(node.inputs) == 1:
            read = edit.stands_for(node.inputs[0])
            if node.name in given:
                # two outputs can't be one tensor
                if read in given or not edit.nodes[read].inputs:
                    continue
                given.add(read)
            edit.drop(node.name, node.inputs[0])
    return edit.result()


def _without_training(program: Program) -> Program:
    checked = program.checked
    nodes = {n: node for n, node in checked.nodes.items() if n not in checked.training_only}
    for node in nodes.values():
        owners = {node.shares, *(tie.owner for tie in node.ties)}
        if owners & checked.training_only:  # whose module is needed after all
            return program
    gone = [checked.nodes[name] for name in checked.training_only]
    weights = dict(program.weights)
    for node in gone:
        for tensors in (node.facts.params, node.facts.buffers):
            for path in in_state(node, tensors):
                del weights[path]
        for tie in node.ties:
            del weights[f"{node.name}.{tie.name}"]
    outputs = [output for output in checked.outputs if not output.training_only]
    return Program(remade(checked, nodes, outputs), weights)
