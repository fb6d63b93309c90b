// Package generators holds examples of generators: programs that publish stacks. Its tests run them.
package generators
