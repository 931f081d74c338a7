package main

// join returns the transformations that combine the queries of a table, one per column, into a single
// table. Without them Grafana shows one table per query. They also name the columns after the legends
// of the queries and hide the columns Time, job and __name__.
func (p *panel) join() []object {
	hide := object{"Time": true, "job": true, "__name__": true}
	rename, order := object{"instance": "Switch"}, object{}
	for i, l := range p.labels {
		rename[l.label], order[l.label] = l.title, i
	}
	for i, q := range p.queries {
		column := "Value"
		if len(p.queries) > 1 {
			column += " #" + string(rune('A'+i))
		}
		if len(p.labels) > 0 {
			order[column] = len(p.labels) + i
			hide[column] = i == 0 // the first query has only labels
		}
		rename[column] = q.legend
	}
	return []object{
		{"id": "merge", "options": object{}},
		{"id": "organize", "options": object{"excludeByName": hide, "renameByName": rename, "indexByName": order}},
	}
}

// overrides sets the units and the value mappings of table columns.
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
	for _, column := range p.flagColumns {
		overrides = append(overrides, object{
			"matcher": object{"id": "byName", "options": column},
			"properties": []object{
				{"id": "mappings", "value": []object{{"type": "value", "options": object{
					"1": object{"text": "up", "color": "green"}, "0": object{"text": "down", "color": "red"},
				}}}},
				{"id": "custom.cellOptions", "value": object{"type": "color-text"}},
			},
		})
	}
	return overrides
}
