package main

// A table has one query per column, and the legend is the name of the column. Transformations join the
// results by their common labels, because Grafana would otherwise show a table per query, and hide
// labels without information.

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

// overrides sets the units of table columns.
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
