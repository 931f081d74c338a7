// Package conventions contains only tests. They check the source and the documents against the rules
// of CONTRIBUTING.md.
package conventions
