"""Point numbers of MediaPipe's face mesh, by part of the face.

The rings of oval, eyes, brows and lips are those of ``face_mesh_connections.py`` in the mediapipe
0.10.21 wheel (Apache-2.0), put in drawing order. Right and left are the person's own.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Ring = npt.NDArray[np.intp]


def ring(numbers: str) -> Ring:
    """An index array that nobody can change."""
    ring = np.array(numbers.split(), np.intp)
    ring.flags.writeable = False
    return ring


FACE_OVAL: Final[Ring] = ring(
    "10 338 297 332 284 251 389 356 454 323 361 288 397 365 379 378 400 377 152 148 176 149 "
    "150 136 172 58 132 93 234 127 162 21 54 103 67 109"
)
# The next two loops of the mesh inside the oval. On a turned head they, not the oval, are the
# outline of the far cheek: the outline of a bowl is the union of its level rings.
SECOND_RING: Final[Ring] = ring(
    "135 169 170 140 171 175 396 369 395 394 364 367 435 401 366 447 264 368 301 298 333 299 "
    "337 151 108 69 104 68 71 139 34 227 137 177 215 138"
)
THIRD_RING: Final[Ring] = ring(
    "262 428 199 208 32 211 210 214 192 213 147 123 116 143 156 70 63 105 66 107 9 336 296 "
    "334 293 300 383 372 345 352 376 433 416 434 430 431"
)
# How much of the lift towards the hairline each point of the oval gets: 1 at the top of the
# forehead, nothing below the temples. The mesh ends under most hairlines.
_LEVELS = {10: 1.0, 109: 0.97, 338: 0.97, 67: 0.87, 297: 0.87, 103: 0.68, 332: 0.68}
_LEVELS |= {54: 0.42, 284: 0.42, 21: 0.16, 251: 0.16}
FOREHEAD_LEVELS: Final = np.array([[_LEVELS.get(int(n), 0.0)] for n in FACE_OVAL], np.float32)
FOREHEAD_LEVELS.flags.writeable = False
# The loop around each eye's own, on the lids: with lashes, where eyeliner goes.
RIGHT_EYE_RIM: Final[Ring] = ring("130 25 110 24 23 22 26 112 243 190 56 28 27 29 30 247")
LEFT_EYE_RIM: Final[Ring] = ring("359 255 339 254 253 252 256 341 463 414 286 258 257 259 260 467")
RIGHT_EYE: Final[Ring] = ring("33 7 163 144 145 153 154 155 133 173 157 158 159 160 161 246")
LEFT_EYE: Final[Ring] = ring("263 249 390 373 374 380 381 382 362 398 384 385 386 387 388 466")
RIGHT_BROW: Final[Ring] = ring("46 53 52 65 55 107 66 105 63 70")
LEFT_BROW: Final[Ring] = ring("276 283 282 295 285 336 296 334 293 300")
LIPS: Final[Ring] = ring("61 146 91 181 84 17 314 405 321 375 291 409 270 269 267 0 37 39 40 185")
# Ours: the underside of the nose from wing to wing, with both nostrils.
NOSE_BASE: Final[Ring] = ring("64 98 97 2 326 327 294 278 438 457 274 1 44 237 218 48")
# Ours: cheek below the eye, clear of nose, fold and jaw.
RIGHT_CHEEK: Final[Ring] = ring("117 118 101 36 206 207 187 123")
LEFT_CHEEK: Final[Ring] = ring("346 347 330 266 426 427 411 352")
# Ours: the forehead between brows and the mesh's upper end.
BROAD_FOREHEAD: Final[Ring] = ring("151 108 69 67 109 10 338 297 299 337")

# Where lips meet: open, it shows the teeth.
MOUTH: Final[Ring] = ring("78 95 88 178 87 14 317 402 318 324 308 415 310 311 312 13 82 81 80 191")
# Between the loops around the eye that the mesh has below it: where circles are.
RIGHT_UNDER_EYE: Final[Ring] = ring("25 110 24 23 22 26 112 245 128 121 120 119 118 117 111 143")
LEFT_UNDER_EYE: Final[Ring] = ring(
    "255 339 254 253 252 256 341 465 357 350 349 348 347 346 340 372"
)
# Lines from the wings of the nose past the corners of the mouth.
RIGHT_FOLD: Final[Ring] = ring("129 203 206 216 212")
LEFT_FOLD: Final[Ring] = ring("358 423 426 436 432")

RIGHT_IRIS_CENTRE: Final = 468
LEFT_IRIS_CENTRE: Final = 473
FOREHEAD_TOP: Final = 10
UPPER_LIP_EDGE: Final = 13
NOSE_MIDDLE: Final = 195
LOWER_LIP_EDGE: Final = 14
RIGHT_MOUTH_CORNER: Final = 61
LEFT_MOUTH_CORNER: Final = 291
CHIN: Final = 152
RIGHT_SIDE: Final = 234
LEFT_SIDE: Final = 454
