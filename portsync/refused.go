package portsync

import "slices"

// refusedRows tracks the ports that have an interface but whose row Redis refuses permanently, for
// example because the key has another type.
type refusedRows struct {
	ports   map[*Port]bool
	error   string // text of the last refusal
	changed bool   // the published text is out of date
	text    *string
}

// update records the state of one port.
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

// refused stores the error text of a refusal.
func (r *refusedRows) refused(text string) {
	r.changed = r.changed || text != r.error
	r.error = text
}

// describe returns the names of the ports and the Redis error, or nil if no row is refused.
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
