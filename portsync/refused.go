package portsync

import "slices"

// refusedRows owns the list of ports that have an interface and whose row STATE_DB refuses
// permanently, such as a row of another type.
type refusedRows struct {
	ports   map[*Port]bool
	error   string // text of the last such refusal
	changed bool   // text is out of date
	text    *string
}

// update takes the state of one port.
func (r *refusedRows) update(p *Port) {
	if is := p.refused && p.Index != 0; is == r.ports[p] {
		return
	} else if is {
		if r.ports == nil {
			r.ports = make(map[*Port]bool)
		}
		r.ports[p] = true
	} else {
		delete(r.ports, p)
	}
	r.changed = true
}

// refused takes the error text of a refusal.
func (r *refusedRows) refused(text string) {
	r.changed = r.changed || text != r.error
	r.error = text
}

// describe returns the names of the ports and the error text of the databases, or nil if no
// row is refused.
func (r *refusedRows) describe() *string {
	if !r.changed {
		return r.text
	}
	r.changed, r.text = false, nil
	if len(r.ports) > 0 {
		names := make([]string, 0, len(r.ports))
		for p := range r.ports {
			names = append(names, p.Name)
		}
		slices.SortFunc(names, compareNames)
		text := "rows of " + nameList(names) + ": " + r.error
		r.text = &text
	}
	return r.text
}
