package main

// join returns the transformations that combine the queries of a table, one per column, into a single
// table. Without them Grafana shows one table per query. They also name the columns after the legends
// of the queries and hide the columns Time, job and __name__.
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
