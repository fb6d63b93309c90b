package placement

// Thorough is a Telling that judges every cluster by all rules, also where sets tell what comes of it.
func Thorough() *Telling { return &Telling{thorough: true} }
