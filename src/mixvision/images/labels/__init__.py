"""Label files: which category each image has, where its path does not say so.

Tables (CSV, TSV, or lines of file name and category), JSON (COCO, lines of objects as in Hugging Face's imagefolder, or
a mapping), and Pascal VOC's folders of XML files or of lists for each category.
"""
