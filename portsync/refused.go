package portsync

import "slices"

// refusedRows are the ports whose rows STATE_DB refuses for good, such as rows of
// another type, although their interfaces exist.
type refusedRows struct {
	ports   map[*Port]bool
	words   string // of the last such refusal
	changed bool   // since text was made
	text    *string
}

// note takes the facts of one port.
func (r *refusedRows) note(p *Port) {
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

// refused takes the words of a refusal.
func (r *refusedRows) refused(words string) {
	r.changed = r.changed || words != r.words
	r.words = words
}

// describe returns what the databases said and the names of the ports, or nil if no
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
		text := "rows of " + nameList(names) + ": " + r.words
		r.text = &text
	}
	return r.text
}
