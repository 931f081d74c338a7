// Package conventions has tests alone: they hold the tree and its documents to the rules of
// CONTRIBUTING.md.
package conventions
