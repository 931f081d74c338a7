package main

// A table has a query for each column; its legend is the column's name. Without
// more, Grafana would show a table for each query: these are joined by their
// common labels, and labels that say nothing are hidden.

func (p *panel) join() []object {
	hide := object{"Time": true, "job": true, "__name__": true}
	rename := object{"instance": "Switch"}
	for i, q := range p.queries {
		column := "Value"
		if len(p.queries) > 1 {
			column += " #" + string(rune('A'+i))
		}
		rename[column] = q.legend
	}
	return []object{
		{"id": "merge", "options": object{}},
		{"id": "organize", "options": object{"excludeByName": hide, "renameByName": rename}},
	}
}

// overrides gives columns of a table their own units.
func (p *panel) overrides() []object {
	overrides := []object{}
	for _, q := range p.queries {
		if unit := p.columns[q.legend]; unit != "" {
			overrides = append(overrides, object{
				"matcher":    object{"id": "byName", "options": q.legend},
				"properties": []object{{"id": "unit", "value": unit}},
			})
		}
	}
	return overrides
}
